"""Experiments on Semi-IIN: the questions of the paper, each answered over several seeds.

* `evaluation`: a checkpoint's metrics on labelled data;
* `bench`: the data and settings that the runs of an experiment share;
* `ablation`: variants of the model;
* `robustness`: modalities withheld, contradicting, or replaced by noise;
* `sweep`: self-training over k and the share of unlabeled data;
* `same_utterance`: Semi-IIN against its parts on real clips, in cross-validation;
* `gates`: how far the gate relies on inter-modal interaction;
* `disturbance`: texts with errors of recognition;
* `reported`: the data on which checkpoints are reported;
* `reporting`: tables as Markdown and CSV, and plots.

Experiments return records of numbers. They depend on no command line.
"""
