#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/model_shape.h"

namespace templora {

/// What a first config is made for.
struct FirstConfig {
  std::string model;              ///< model.path as the config has it
  ModelShape shape;               ///< of that model
  Dtype dtype = Dtype::bfloat16;  ///< that it is published in
  std::vector<std::string> books; ///< data.books as the config has them
};

/// A config file with comments, ready to run: books read with and without Temp-LoRA, windows that have room in the
/// model's positions, a learning rate that was found good at such a size.
std::string first_config(const FirstConfig& first);

}  // namespace templora
