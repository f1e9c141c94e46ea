#pragma once

#include <string>

#include "core/error.h"

namespace templora {

/// How the program ends for an exception: its exit code and the line that says why.
struct ProgramEnd {
  Exit exit;
  std::string line;
};

/// Of the exception that is being handled.
ProgramEnd describe_exception();

}  // namespace templora
