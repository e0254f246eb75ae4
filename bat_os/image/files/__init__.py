"""What carries an image as a whole: its files, backups, archives, forks, packs, checks, exports.

Such work raises LockedError if another process or another such work holds the image,
StorageFullError if there is no room, BlobError for a file that is missing or not what was
written, StorageError for files that cannot be read or written, and ArgumentsError for a name, a
folder or a number that cannot be used.
"""
