"""The image as something to carry: backup, restore, archive, fork, export, pack, space."""
