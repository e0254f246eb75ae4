"""zygote."""
