#include "experiment/not_finite.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

namespace templora {
namespace {

/// Name of the first weight that has a value that is not finite; "" if there is none.
std::string damaged_weight(LlamaImpl& model) {
  const at::NoGradGuard no_grad;
  for (const auto& item : model.named_parameters())
    if (!at::isfinite(item.value()).all().item<bool>()) return item.key();
  return "";
}

}  // namespace

std::string why_not_finite(LlamaImpl& model, const Config& config, bool base, std::int64_t steps_before) {
  if (const std::string name = damaged_weight(model); !name.empty())
    return fmt::format(
        "the model's {} has NaN or infinite values: the weights of {} are damaged, get them again",
        printable(name), printable(config.model.path, 1000));
  const std::string other_dtype = config.model.dtype == Dtype::bfloat16 ? ", or try model.dtype float32" : "";
  if (base)
    return fmt::format(
        "the model's weights are finite and no adapter has a part in it: do its config.json and "
        "model.rope_scaling fit them? Look there{}",
        other_dtype);
  if (steps_before == 0)
    return fmt::format(
        "no optimizer step was made before it and the model's weights are finite, so the learning rate has "
        "no part in it: "
        "look at the model's config.json{}{}{}",
        config.lora.init_from ? ", at the adapter of lora.init_from" : "",
        config.lora.low_rank() ? ", and at lora.alpha" : "", other_dtype);
  return fmt::format(
      "the model's weights are finite, and {} optimizer step{} made before it: the training diverged; lower "
      "train.learning_rate{}",
      steps_before, steps_before == 1 ? " was" : "s were", other_dtype);
}

}  // namespace templora
