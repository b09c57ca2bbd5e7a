"""From the bytes of a photo to pixels: the first step of every pipeline.

`header` reads what a photo says of itself, `jpeg` counts the scans of one, `cost` estimates the memory that decoding
takes, `decoder` decodes what the service can afford, `colour` brings Pillow's modes to RGB. `transform` is where photos
meet OpenCV's geometry.
"""

from mesh.serving.images.decoder import ChannelOrder, Image, OpenPhoto, Pixels, decode, open_photo

__all__ = ["ChannelOrder", "Image", "OpenPhoto", "Pixels", "decode", "open_photo"]
