#include "experiment/module_state.h"

#include "model/tensors.h"

namespace templora {

void add_module_state(NamedTensors& tensors, const std::string& name, LoraAdapter& adapter, ChunkTrainer& trainer) {
  tensors.emplace_back(name + ".weights", adapter.parameters().value);
  for (const auto& [part, tensor] : trainer.optimizer().state()) tensors.emplace_back(name + "." + part, tensor);
  tensors.emplace_back(name + ".generator", adapter.generator_state());
}

void restore_module_state(const SafetensorsFiles& files, const std::string& name, std::int64_t optimizer_steps, LoraAdapter& adapter,
                          ChunkTrainer& trainer) {
  trainer.set_steps(optimizer_steps);
  copy_stored(files, name + ".weights", adapter.parameters().value);
  for (const auto& [part, tensor] : trainer.optimizer().state()) copy_stored(files, name + "." + part, tensor);
  adapter.set_generator_state(view_of(files.at(name + ".generator")).clone());
}

}  // namespace templora
