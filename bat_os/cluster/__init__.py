"""Which kernels share an image and live: adapters of the port ``Cluster``."""
