"""Features: what a finished encoder makes of a cell, computed once and kept.

Read `encoder.py` first, the contract of an encoder, then `loader.py`, which turns a loader or a
column and an encoder into a loader of vectors. `functions.py` makes an encoder of a function of
your own, and `onnx_text.py` of an ONNX file with a sentence encoder, whose folder
`sentence_folder.py` reads, whose file `onnx_file.py` checks and whose results `pooling.py` pools.
`similarity.py` compares the vectors of two columns. `kept.py` remembers vectors for runs that read
cells several times. The encoder that runs a Keras model is in
`models/`, as only that folder imports Keras.
"""

from multimodal_gen.loaders.encoded.encoder import Encoder
from multimodal_gen.loaders.encoded.functions import FunctionEncoder
from multimodal_gen.loaders.encoded.loader import EncodedLoader
from multimodal_gen.loaders.encoded.onnx_text import OnnxTextEncoder
from multimodal_gen.loaders.encoded.similarity import SimilarityLoader

__all__ = ["EncodedLoader", "Encoder", "FunctionEncoder", "OnnxTextEncoder", "SimilarityLoader"]
