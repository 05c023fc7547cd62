"""Semi-IIN: multimodal sentiment from text, voice and face, trained here and served by `streamer`.

From data to predictions:

* `data/`: data sets become samples; `faces`: face crops of frames, for training and serving;
* `clips`, `labels`, `modalities`: the audio, words and faces of one moment, and the vocabulary;
* `encoders/`: the modalities of a clip become token features; `features`: the encoders of a
  checkpoint and padded batches; `cache`: features on disk; `weights`: published weights by name;
* `model`, `model_config`: masked attention branches, gate and heads;
* `settings`: a run's configuration; `parts`, `examples`, `composing`: its data; `pretraining/`: the
  training of its encoders; `task`, `loop`: the training of Semi-IIN; `calibration`: temperatures
  and scales; `run`: all of them, from a configuration to a checkpoint;
* `self_training`: rounds of scoring, selection and retraining;
* `evaluate`, `experiments/`: metrics with intervals; ablation, robustness, sweeps, gate shares;
* `checkpoint`: weights, configuration and provenance in one directory; `paper_weights`, `state`:
  published weights; `release`: measuring and installing a checkpoint; `export`: other runtimes;
* `predict`: predictions of a checkpoint on clips; `device`: names of torch devices;
* `cli/`: the `semi-iin` command.

Nothing here imports `streamer`, and `predict` imports no training.
"""
