#!/usr/bin/env bash
# keras-hub's CLIPBackbone, given all that keras-hub's CLIPPreprocessor returns, reads the padding
# mask in the place of the token ids: captions of one length all have the same score.
#
# Seen with keras-hub 0.32.0 and keras 3.15.1 on jax 0.10.2, Linux, Python 3.11. The preprocessor
# returns "images", "token_ids" and "padding_mask"; the backbone has the inputs "images" and
# "token_ids". A functional model with a dict of inputs that is given one key more sorts the keys
# and takes the first ones; a UserWarning speaks of the structure. "padding_mask" comes before
# "token_ids".
#
# Seen: with the three keys, the four captions below differ by 0.0; with the two that the backbone
# has, by 3.3. Way out: {name: given[name] for name in backbone.input}.
#
# The three keys are written here by hand, because the preprocessor itself needs TensorFlow. Model
# and ids are random, which makes no difference: the ids do not reach the model.
#
# Exits 0 while that is so, and 1 when the captions differ, or the third key is an error.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "keras==3.15.1" "jax==0.10.2" regex "kagglehub==1.0.2" \
  "kagglesdk==0.1.28" "sentencepiece==0.2.3" tokenizers
# Without tensorflow-text, which the wheel asks for and this does not use.
"$folder/venv/bin/pip" install -q --no-deps "keras-hub==0.32.0"
cat >"$folder/scores.py" <<'PYTHON'
import os
import sys

os.environ["KERAS_BACKEND"] = "jax"
import keras
import keras_hub
import numpy as np

keras.utils.set_random_seed(0)
models = keras_hub.models
sizes = {"hidden_dim": 16, "num_layers": 1, "num_heads": 2, "intermediate_dim": 16}
backbone = models.CLIPBackbone(
    models.CLIPVisionEncoder(patch_size=8, image_shape=(16, 16, 3), **sizes),
    models.CLIPTextEncoder(
        vocabulary_size=50, embedding_dim=16, max_sequence_length=8, **sizes
    ),
    projection_dim=8,
)
rng = np.random.default_rng(0)
ids = np.zeros((4, 8), "int32")
# Start, three words, end.
ids[:, :5] = [[48, *rng.choice(40, 3, replace=False), 49] for _ in range(4)]
given = {
    "images": rng.random((4, 16, 16, 3)).astype("float32"),
    "token_ids": ids,
    "padding_mask": ids > 0,
}


def spread(names):
    found = backbone.predict({name: given[name] for name in names}, verbose=0)
    return float(np.ptp(found["vision_logits"], axis=1).max())


all_keys, own_keys = spread(given), spread(backbone.input)
print(f"scores of four captions of one length differ by {all_keys} with the preprocessor's keys,")
print(f"and by {own_keys:.2f} with the backbone's own")
sys.exit(not (all_keys < 1e-4 and own_keys > 0.1))
PYTHON
"$folder/venv/bin/python" "$folder/scores.py"
