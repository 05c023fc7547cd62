"""Windows a second on a GPU: one at a time and in batches, by precision, compiled or not.

    python benchmarks/gpu.py [--encoders embedded|paper] [--device cuda] [--windows 256] [--json]

The windows are those of `inference.py`, decoded before. `embedded` is the default checkpoint;
`paper` are RoBERTa-large, HuBERT-large and FAb-Net from their configurations, with random weights,
which change no time, and a Semi-IIN of the paper's sizes. `--sizes tiny` makes them small, to try
the script without a GPU. The ratios are to `pipelines, one face`: what people write without
batches (`naive.py`). The last line divides the operations of the matrices a second, in bfloat16,
by those of the largest product that the device makes of two matrices.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from inference import SPOKEN, clips_of, in_batches, make_window
from measure import compare, show
from naive import Pipelines
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations
from torch.utils.flop_counter import FlopCounterMode

from semi_iin.clips import Clip
from semi_iin.device import find_device
from semi_iin.encoders.fab_net import FabNetEncoder
from semi_iin.features import Encoders
from semi_iin.model import SemiIIN
from semi_iin.model_config import SemiIINConfig
from semi_iin.predict import Predictor
from streamer.config import build

SIZES = {
    "published": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4},
}


def papers_encoders(folder: Path, sizes: str) -> Encoders:
    """Write the paper's encoders with random weights to a folder, and load them from there."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import (
        HubertConfig,
        HubertModel,
        PreTrainedTokenizerFast,
        RobertaConfig,
        RobertaModel,
        logging,
    )

    logging.disable_progress_bar()
    size = SIZES[sizes] | {"intermediate_size": 4 * SIZES[sizes]["hidden_size"]}
    torch.manual_seed(0)
    words = RobertaConfig(vocab_size=50_265, max_position_embeddings=514, **size)
    RobertaModel(words).save_pretrained(folder / "text")
    vocabulary = {word: at for at, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *SPOKEN])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", pad_token="<pad>", eos_token="</s>",
        sep_token="</s>", cls_token="<s>", unk_token="<unk>",
    ).save_pretrained(folder / "text")  # fmt: skip
    sound = HubertConfig(feat_extract_norm="layer", do_stable_layer_norm=True, **size)
    HubertModel(sound).save_pretrained(folder / "audio")
    network = FabNetEncoder.untrained().state_dict()
    save_file(
        {f"encoder.{name}": value for name, value in network.items()},
        folder / "fab_net.safetensors",
    )
    encoders = Encoders.build(
        {
            "audio": {"kind": "transformer_audio", "source": str(folder / "audio")},
            "text": {
                "kind": "transformer_text", "source": str(folder / "text"), "context_tokens": 60,
            },
            "vision": {"kind": "fab_net", "weights": str(folder / "fab_net.safetensors")},
        }
    )  # fmt: skip
    for module in list(encoders.encoders["audio"].modules()):
        if is_parametrized(module, "weight"):  # by its norm, which the counter cannot follow
            remove_parametrizations(module, "weight")
    return encoders


def predictors(options: argparse.Namespace, folder: Path) -> Callable[[str], Predictor]:
    """Return what loads the model in a precision."""
    if options.encoders == "embedded":
        return lambda dtype: Predictor.from_checkpoint(device=options.device, dtype=dtype)
    width = SIZES[options.sizes]["hidden_size"]
    config = SemiIINConfig(audio_width=width, text_width=width)
    model = SemiIIN(config)
    encoders = papers_encoders(folder, options.sizes)
    return lambda dtype: Predictor(model, encoders, device=options.device, dtype=dtype)


def operations(predictor: Predictor, clips: Sequence[Clip]) -> float:
    """Return the floating-point operations of the matrices and convolutions for a window."""
    with FlopCounterMode(display=False) as counter:
        predictor.predict(clips)
    return float(counter.get_total_flops()) / len(clips)


def limit(device: torch.device, side: int, seconds: float = 1.0) -> float:
    """Return operations a second of a product of two square bfloat16 matrices."""
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    rounds, elapsed = 0, 0.0
    (left @ right).sum().item()
    start = time.perf_counter()
    while elapsed < seconds:
        for _ in range(4):
            product = left @ right
        product[0, 0].item()
        rounds, elapsed = rounds + 4, time.perf_counter() - start
    return 2 * side**3 * rounds / elapsed


def main() -> None:
    """Read the command line and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--encoders", choices=("embedded", "paper"), default="embedded")
    parser.add_argument("--sizes", choices=tuple(SIZES), default="published")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--windows", type=int, default=256)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    device = find_device(options.device)
    rng = np.random.default_rng(0)
    clips = clips_of([make_window(k, rng) for k in range(options.windows)], build({}))
    few = clips[: max(1, len(clips) // 16)]
    pipelines = Pipelines(str(device))
    with tempfile.TemporaryDirectory() as folder:
        load = predictors(options, Path(folder))
        exact, half = load("float32"), load("bfloat16")
        batch = f"batches of {options.batch}"
        variants = {
            "pipelines, one face": (len(few), partial(pipelines.score, few, 1)),
            "ours, one at a time": (len(few), partial(in_batches, exact, few, 1)),
            f"ours, {batch}": (len(clips), partial(in_batches, exact, clips, options.batch)),
            "the same, bfloat16": (len(clips), partial(in_batches, half, clips, options.batch)),
        }
        results = compare(variants, options.rounds)
        if not options.no_compile:
            half.compile()
            compiled = {
                "pipelines, one face": variants["pipelines, one face"],
                f"ours, {batch}, bfloat16, compiled": variants["the same, bfloat16"],
            }
            results += compare(compiled, options.rounds)[1:]
        exact_operations = operations(exact, clips[: options.batch])
    show(f"Windows a second on {device}", "windows", results, options.json)
    most = limit(device, 8192 if device.type == "cuda" else 1024)
    best = max(result.rate for result in results if "bfloat16" in result.name)
    share = best * exact_operations / most
    if options.json:
        print(json.dumps({"operations": exact_operations, "limit": most, "share": share}))
    else:
        print(
            f"\n  {exact_operations / 1e9:.1f} GFLOP a window; at best {share:.1%} of the "
            f"{most / 1e12:.1f} TFLOP/s that the device makes of bfloat16 matrices"
        )


if __name__ == "__main__":
    main()
