#include "experiment/module_state.h"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "core/error.h"
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
  at::Tensor generator = adapter.generator_state();  // copied into, so that another device's or a damaged one is refused
  copy_stored(files, name + ".generator", generator);
  try {
    adapter.set_generator_state(generator);
  } catch (const c10::Error&) {
    throw Error(Exit::bad_input, fmt::format("{}: {}.generator: is no state of this device's generator", files.path().string(), name));
  }
}

}  // namespace templora
