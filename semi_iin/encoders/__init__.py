"""Encoders: the audio, words or faces of a clip become token features (L, D).

Training and serving run the same encoders. Every encoder implements `protocol.Encoder`:

* `text`: a transformer over words, read with their context (`transformer_text`);
* `audio`: a compact network over log-mel energies (`log_mel_audio`), or a speech transformer
  (`transformer_audio`, HuBERT-large in the paper);
* `whisper`: the lower layers of Whisper's encoder over audio (`whisper_audio`), whose source
  `ctranslate2` reads;
* `vision`: a compact network over face crops (`face_cnn`);
* `transformer`: sources of pretrained transformers, and differences from them;
* `fab_net`: FAb-Net over face crops (`fab_net`, the paper's).

A spec, a JSON-able mapping, describes an encoder; a checkpoint keeps it in `config.json` under
`encoders`, and its `kind` names the encoder's class (`semi_iin.features.KINDS`). Encoders depend on
no data sets, labels, training or fusion; `semi_iin.pretraining` trains them.

Legend for shapes: B batch, L frames, D feature width, n audio samples.
"""
