#!/usr/bin/env bash
# After a seek, soundfile reads other samples of an MP3 file than from its beginning.
#
# Seen with soundfile 0.14.0 (libsndfile 1.2.2) on Linux, Python 3.11: an MP3 file that soundfile
# itself wrote, of a sine of amplitude 0.5. `seek(5000)` returns 5000, and the samples after it
# differ by up to 0.5 from those at 5000 of the whole sound. With WAV, FLAC and Ogg they are equal.
# On stderr, mpg123 says "fuzzy seeking may be even more fuzzy than by design". The file has no list
# of its frames, so a place is guessed, and not sought from there.
#
# So whoever reads a part of a sound must decode it from its beginning, if it may be an MP3 file.
#
# Exits 0 while that is so, and 1 when the samples agree, or those of FLAC do not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "soundfile==0.14.0" numpy
cat >"$folder/seek.py" <<'PYTHON'
import io
import sys

import numpy as np
import soundfile


def difference(form):
    file = io.BytesIO()
    soundfile.write(file, 0.5 * np.sin(2 * np.pi * 440 * np.arange(22050) / 22050), 22050, format=form)
    file.seek(0)
    whole, _ = soundfile.read(file)
    file.seek(0)
    with soundfile.SoundFile(file) as sound:
        assert sound.seek(5000) == 5000
        return abs(sound.read(100) - whole[5000:5100]).max()


found = {form: float(difference(form)) for form in ("MP3", "FLAC", "OGG", "WAV")}
print(found)
sys.exit(not (found.pop("MP3") > 0.1 and max(found.values()) == 0))
PYTHON
"$folder/venv/bin/python" "$folder/seek.py"
