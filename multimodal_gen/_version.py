"""The version of this package, in a file that imports nothing, so that caches and bundles need not
import the face.
"""

__version__ = "0.1.0"
