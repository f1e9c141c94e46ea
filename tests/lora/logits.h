#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/core/Tensor.h>

#include "model/llama.h"

namespace templora_test {

/// Logits of a whole text, without a gradient. ids: [seq] → [seq, vocab].
inline at::Tensor logits(templora::LlamaImpl& model, const at::Tensor& ids) {
  const at::NoGradGuard no_grad;
  return model.logits(model.forward(ids.unsqueeze(0), 0, ids.size(0))).squeeze(0);
}

}  // namespace templora_test
