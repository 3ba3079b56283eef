"""InternLM2 and InternLM3, whose code is on the hub and not in transformers, as transformers' Llama.

Both are Llama under another name but for what is said here, as their published modeling_internlm2.py and modeling_internlm3.py
have it:

- InternLM2 keeps queries, keys and values in one linear layer, `wqkv`. Its rows are [key heads][query heads of the group, key,
  value][head_dim]. `bias` is of wqkv and wo. Tensors have other names.
- InternLM3 has tensors as Llama has them. `qkv_bias` is of queries, keys and values, `bias` of all other linear layers.

So the reference is Llama with biases wherever one of its kind may be, those that the family lacks being 0, and what is saved is
Llama's state under the family's names. Dynamic scaling changes nothing as long as no sequence is longer than
max_position_embeddings, which holds for each case.
"""

import torch
import transformers

FAMILIES = ("internlm2", "internlm3")


def llama_config(config: dict) -> transformers.LlamaConfig:
    own = {"model_type", "architectures", "bias", "qkv_bias"}
    shared = {key: value for key, value in config.items() if key not in own}
    bias = config.get("bias", config["model_type"] == "internlm2")
    if config["model_type"] == "internlm2":
        return transformers.LlamaConfig(**shared, attention_bias=bias, mlp_bias=False)
    return transformers.LlamaConfig(**shared, attention_bias=bias or config.get("qkv_bias", False), mlp_bias=bias)


def absent(name: str, config: dict) -> bool:
    """Whether the family lacks a tensor of that Llama."""
    if config["model_type"] != "internlm3" or not name.endswith(".bias"):
        return False
    of_projections = any(part in name for part in ("q_proj", "k_proj", "v_proj"))
    return not config.get("qkv_bias" if of_projections else "bias", False)


@torch.no_grad()
def drop_absent(model: torch.nn.Module, config: dict) -> None:
    for name, parameter in model.named_parameters():
        if absent(name, config):
            parameter.zero_()


NAMES = {
    "embed_tokens": "tok_embeddings",
    "self_attn.o_proj": "attention.wo",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.up_proj": "feed_forward.w3",
    "mlp.down_proj": "feed_forward.w2",
    "lm_head": "output",
}


def published(stored: dict[str, torch.Tensor], config: dict) -> dict[str, torch.Tensor]:
    if config["model_type"] == "internlm3":
        return {name: tensor for name, tensor in stored.items() if not absent(name, config)}
    groups = config.get("num_key_value_heads") or config["num_attention_heads"]
    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in stored.items():
        if "k_proj" in name or "v_proj" in name:
            continue
        if "q_proj" in name:
            rows = [stored[name.replace("q_proj", part)] for part in ("q_proj", "k_proj", "v_proj")]
            by_group = [part.reshape(groups, -1, *part.shape[1:]) for part in rows]
            packed = torch.cat(by_group, dim=1).flatten(0, 1).contiguous()
            tensors[name.replace("self_attn.q_proj", "attention.wqkv")] = packed
            continue
        for llama, own in NAMES.items():
            name = name.replace(llama, own)
        tensors[name] = tensor
    return tensors
