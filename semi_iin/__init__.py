"""Semi-IIN: multimodal sentiment from text, voice and face, trained here and served by `streamer`.

The way of the data, one room a line:

* `data`: data sets to samples; `faces`: frames to face crops, for training and serving;
* `features`: pretrained encoders, a clip to token features (the same code trains and serves);
* `model`: masked attention branches, gate and heads;
* `train`: one loop; `pretraining`: what trains the embedded encoders; `composing`: words with a
  voice and a face of like valence; `run`: all of them, from a configuration to a checkpoint;
* `self_training`: rounds of score, select, retrain;
* `evaluate`, `experiments`: metrics with intervals; ablations, sweeps, gate shares;
* `checkpoint`: safetensors, configuration and provenance in one directory;
* `predict`: a checkpoint and clips to predictions.

Nothing here imports `streamer`.
"""
