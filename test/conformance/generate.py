"""Writes the fixtures that the conformance tests compare with: toy models, and what transformers computes of them.

Not needed to run the tests. In an environment with `pip install torch transformers safetensors`:

    python test/conformance/generate.py            # every case of cases.json
    python test/conformance/generate.py llama-mha  # those named

InternLM2 and InternLM3 are not in transformers: internlm.py says how Llama stands for them.

For each case of cases.json: fixtures/NAME/config.json (as given there), model.safetensors (random weights, in the case's
type) and reference.safetensors, computed in float32 from the weights as they are stored:

    prompt        [n]             token ids
    layer.I       [n, hidden]     after layer I, before the last norm
    hidden        [n, hidden]     after the last norm
    logits        [n, vocab]      at every position of the prompt
    continuation  [steps]         greedy
    step_logits   [steps, vocab]  after each token of the continuation
"""

import json
import shutil
import sys
from pathlib import Path

import internlm
import torch
import transformers
from safetensors.torch import save_file

HERE = Path(__file__).parent
STEPS = 8
# Two choices closer than this share of the largest logit would make a continuation depend on rounding.
FIRM = 0.02


def random_weights(model: torch.nn.Module, seed: int, dtype: torch.dtype) -> None:
    """Wide enough that attention is not flat, norms not 1, biases not 0."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if name.endswith("norm.weight"):
            values = 1 + 0.2 * noise
        elif name.endswith("bias"):
            values = 0.3 * noise
        elif "embed_tokens" in name or "lm_head" in name:
            values = noise
        else:
            values = noise * (1.5 if "q_proj" in name or "k_proj" in name else 1) / parameter.shape[-1] ** 0.5
        parameter.data = values.to(dtype).to(torch.float32)


@torch.no_grad()
def routing_margin(model: torch.nn.Module, prompt: torch.Tensor) -> float:
    """The least distance between the score of the last expert that was chosen and of the next, as a share of the largest score."""
    margins: list[torch.Tensor] = []

    def measure(module: torch.nn.Module, _: object, output: tuple[torch.Tensor, ...]) -> None:
        best = output[0].topk(module.top_k + 1, dim=-1).values
        margins.append((best[:, -2] - best[:, -1]).min() / output[0].abs().max())

    routers = [module for module in model.modules() if type(module).__name__.endswith("TopKRouter")]
    hooks = [router.register_forward_hook(measure) for router in routers]
    model(prompt[None], use_cache=False)
    for hook in hooks:
        hook.remove()
    return min(margins).item()


@torch.no_grad()
def reference(model: torch.nn.Module, prompt: torch.Tensor) -> tuple[dict[str, torch.Tensor], bool]:
    layers: list[torch.Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, output: layers.append(output[0] if isinstance(output, tuple) else output))
        for layer in model.model.layers
    ]
    whole = model(prompt[None], output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    tensors = {f"layer.{index}": output.reshape(len(prompt), -1) for index, output in enumerate(layers)}
    tensors |= {"prompt": prompt, "hidden": whole.hidden_states[-1][0], "logits": whole.logits[0]}
    ids, rows, last = prompt, [], whole.logits[0, -1]
    firm = True
    for _ in range(STEPS):
        best = last.topk(2).values
        firm &= bool(best[0] - best[1] > FIRM * last.abs().max())
        ids = torch.cat([ids, last.argmax()[None]])
        # Without a cache: what a cache gives must be the same.
        last = model(ids[None], use_cache=False).logits[0, -1]
        rows.append(last)
    tensors |= {"continuation": ids[len(prompt) :], "step_logits": torch.stack(rows)}
    return {name: tensor.float().contiguous().clone() for name, tensor in tensors.items()}, firm


def generate(name: str, case: dict) -> None:
    folder = HERE / "fixtures" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(case["config"], indent=2) + "\n")
    stands_in = case["config"]["model_type"] in internlm.FAMILIES
    config = internlm.llama_config(case["config"]) if stands_in else transformers.AutoConfig.from_pretrained(folder)
    config._attn_implementation = "eager"
    dtype = getattr(torch, case["dtype"])
    for seed in range(1000):
        model = transformers.AutoModelForCausalLM.from_config(config).to(torch.float32).eval()
        random_weights(model, seed, dtype)
        if stands_in:
            internlm.drop_absent(model, case["config"])
        model.tie_weights()
        ids = torch.randint(0, config.vocab_size, [case["prompt"]], generator=torch.Generator().manual_seed(seed))
        # A row that rounding sends to another expert, and to no more than one, is answered by a stranger.
        if "routing_margin" in case and routing_margin(model, ids) < case["routing_margin"]:
            continue
        tensors, firm = reference(model, ids)
        if firm:
            break
    else:
        sys.exit(f"{name}: no seed gives a firm continuation")
    stored = {key: value.to(dtype).contiguous() for key, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        del stored["lm_head.weight"]
    tensors_of = internlm.published if stands_in else published
    save_file(tensors_of(stored, case["config"]), folder / "model.safetensors", metadata={"format": "pt"})
    save_file(tensors, folder / "reference.safetensors")
    print(name, "seed", seed)


def published(stored: dict[str, torch.Tensor], config: dict) -> dict[str, torch.Tensor]:
    """Experts as checkpoints have them, one by one; transformers holds them stacked. Mixtral's under the names of its first code."""
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in stored.items():
        if name.endswith("experts.gate_up_proj"):
            for index, both in enumerate(tensor):
                gate, up = both.chunk(2)
                tensors[name.replace("gate_up_proj", f"{index}.gate_proj.weight")] = gate.contiguous()
                tensors[name.replace("gate_up_proj", f"{index}.up_proj.weight")] = up.contiguous()
        elif name.endswith("experts.down_proj"):
            for index, down in enumerate(tensor):
                tensors[name.replace("down_proj", f"{index}.down_proj.weight")] = down.contiguous()
        else:
            tensors[name] = tensor
    if config["model_type"] != "mixtral":
        return tensors
    named = {".mlp.": ".block_sparse_moe.", ".gate_proj.": ".w1.", ".up_proj.": ".w3.", ".down_proj.": ".w2."}
    for own, first in named.items():
        tensors = {name.replace(own, first): tensor for name, tensor in tensors.items()}
    return tensors


def main() -> None:
    cases = json.loads((HERE / "cases.json").read_text())
    for name in sys.argv[1:] or cases:
        generate(name, cases[name])


main()
