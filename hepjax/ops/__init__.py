"""Hot array functions in pure JAX, no Flax and no files."""

from hepjax.ops.conv2d import conv2d
from hepjax.ops.conv_platform import active_conv3d, blocks_of_network
from hepjax.ops.convolution import conv3d, upsample_conv3d
from hepjax.ops.densify import densify

__all__ = ["active_conv3d", "blocks_of_network", "conv2d", "conv3d", "densify", "upsample_conv3d"]
