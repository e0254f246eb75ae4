"""The checks of ``doctor``: software, image, what runs; each finding with its advice."""
