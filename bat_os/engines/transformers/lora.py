"""LoRA adapters on a loaded model: put on, switched in place, taken off. All by peft.

An adapter comes from anywhere. ``lorafiles`` has checked its files; here every shape is
compared with the model before anything is changed, and peft is told the modules by their full
names and gets the few settings that were checked, not the configuration as it came.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from bat_os.errors import ModelError

if TYPE_CHECKING:
    from bat_os.engines.adapters import AdapterFiles

# What peft is told of the configuration.
_SETTINGS = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")


def attach_adapter(net: Any, handle: str, adapter: AdapterFiles) -> None:
    """Put ``adapter`` on ``net``; only ``use_adapter`` says whether it is used.

    Args:
        net: The model, its weights in place.
        handle: What peft is to know the adapter by; fit to be the name of a module.
        adapter: Its files.

    Raises:
        ModelError: It does not fit, or its weights cannot be read; ``net`` works as before.
    """
    reason = misfit(net, adapter)
    if reason:
        raise ModelError(
            f"adapter {adapter.name} does not fit the model: {reason}; "
            "use one that was trained on this model"
        )
    from peft import LoraConfig, inject_adapter_in_model, set_peft_model_state_dict  # heavy

    settings = {key: adapter.config[key] for key in _SETTINGS if adapter.config.get(key)}
    config = LoraConfig(target_modules=sorted(adapter.modules), **settings)
    try:
        state = _read_weights(adapter, net.dtype)
        inject_adapter_in_model(config, net, handle, low_cpu_mem_usage=True)
        set_peft_model_state_dict(net, state, handle, low_cpu_mem_usage=True)
        _place(net, handle)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        detach_adapter(net, handle)
        raise ModelError(
            f"adapter {adapter.name} cannot be used: {error}; add it again from its source"
        ) from error
    finally:
        # The layers know all that is needed; peft would warn of the adapters that are there.
        vars(net).pop("peft_config", None)


def misfit(net: Any, adapter: AdapterFiles) -> str:
    """Return "" when each layer that ``adapter`` changes is in ``net`` at its size, or why not."""
    from torch.nn import Linear  # heavy

    modules = dict(net.named_modules())
    for path, sizes in adapter.modules.items():
        layer = modules.get(path)
        layer = getattr(layer, "base_layer", layer)
        if not isinstance(layer, Linear):
            return f"it has no linear layer {path}"
        if (layer.in_features, layer.out_features) != tuple(sizes):
            return (
                f"{path} has {layer.in_features} inputs and {layer.out_features} outputs, "
                f"in the adapter {sizes[0]} and {sizes[1]}"
            )
    return ""


def detach_adapter(net: Any, handle: str) -> None:
    """Take the adapter off, if it is on; the layers that held it stay wrapped."""
    for layer in _layers(net):
        if handle in layer.lora_A:
            layer.delete_adapter(handle)


def use_adapter(net: Any, handle: str) -> None:
    """Switch ``net`` to this adapter; to none for ""."""
    for layer in _layers(net):
        layer.enable_adapters(enabled=bool(handle))
        if handle:
            layer.set_adapter(handle)


def _layers(net: Any) -> list[Any]:
    return [module for module in net.modules() if hasattr(module, "lora_A")]


def _read_weights(adapter: AdapterFiles, dtype: Any) -> dict[str, Any]:
    state = {}
    with safe_open(adapter.weights, "pt") as stored:
        for key, shape in adapter.tensors.items():
            tensor = stored.get_tensor(key)
            if tuple(tensor.shape) != tuple(shape):
                raise ValueError(f"{key} has changed since it was checked")
            if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
                raise ValueError(f"{key} has values that are no finite numbers")
            # A copy: the file may be replaced while the adapter is in use.
            state[key] = tensor.to(dtype, copy=True)
    return state


def _place(net: Any, handle: str) -> None:
    """Put the adapter's weights where those are that they add to."""
    for layer in _layers(net):
        if handle not in layer.lora_A:
            continue
        device = layer.get_base_layer().weight.device
        for side in (layer.lora_A, layer.lora_B):
            parameter = side[handle].weight
            if parameter.device.type == "meta":
                raise ValueError("a part of it is missing")
            if device.type == "meta":
                raise ValueError("the model is spread over several places, and takes no adapter")
            parameter.data = parameter.data.to(device)
