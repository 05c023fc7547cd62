"""Data sets, as published, become samples.

`formats.read` reads any of them: MOSI, MOSEI, MELD, SST, IEMOCAP, AMI, RAVDESS, FER2013, or another
data set with the same conventions.

* `samples`: the sample, its split, checks and splits of samples;
* `media`: audio and faces of media files, read when a sample's clip is read;
* `text_csv`, `clips`, `features`, `ravdess`, `expressions`: one reader each.

A modality that a row does not have stays absent; nothing is imputed. Readers depend on no encoders,
models or training.
"""
