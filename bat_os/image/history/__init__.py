"""What became of methods and objects: versions and moves, why, taint and recall, moments."""
