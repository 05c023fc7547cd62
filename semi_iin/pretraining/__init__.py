"""Training of the encoders, before Semi-IIN is trained on their features.

* `text`: a text encoder, fine-tuned through a Semi-IIN on labelled texts;
* `voice`: the log-mel encoder, on recordings with emotions;
* `face`: the face encoder, on face crops with emotions;
* `protocol`: what such a task adds to a `loop.Task`;
* `stages`: the encoders of a run's configuration, one after another.

Each task is trained by `loop.fit`. Serving imports none of this.
"""
