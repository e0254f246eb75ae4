"""From the format of older images to the present one, a module per format."""
