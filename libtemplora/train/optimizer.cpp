#include "train/optimizer.h"

#include "train/adamw.h"
#include "train/dynamic_evaluation.h"

namespace templora {

std::unique_ptr<Optimizer> make_optimizer(FlatParameters& parameters, const TrainConfig& c) {
  if (c.optimizer == OptimizerKind::adamw)
    return std::make_unique<AdamW>(
        parameters,
        AdamOptions{c.adam_beta1, c.adam_beta2, c.adam_eps, c.weight_decay, c.clip_norm, c.decay_to_start});
  return std::make_unique<DynamicEvaluation>(
      parameters,
      DynamicEvaluationOptions{c.optimizer == OptimizerKind::rms, c.rms_eps, c.decay_to_start, c.clip_norm});
}

}  // namespace templora
