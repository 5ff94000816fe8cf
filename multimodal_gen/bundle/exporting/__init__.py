"""Writes a bundle as a folder that predicts without Keras.

Read `exporting.py` first, which takes the steps. `converting.py` turns the model into a network of
another format (`plain_parts.py`: what is replaced meanwhile), `child.py` on another backend where
this one cannot, and `checking.py` runs the network against the model. `blaming.py` names the layer
where no converter is right. `quantizing.py` rounds a network to 8 bits. `engines.py` opens networks
(`serving/` does too), and `manifest.py` says what they take and put out. `exportable.py` is what
bundles inherit.
"""
