#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "sweep/cell.h"
#include "sweep/claim.h"
#include "sweep/sweep_file.h"

namespace templora {

enum class CellState { waiting, running, failed, done };
const char* cell_state_name(CellState state);

struct CellStatus {
  CellState state = CellState::waiting;
  std::optional<CellFailure> failure;
  std::optional<ClaimOwner> owner;  ///< of a running cell
};

/// One look at a cell. A claim of this machine whose process is gone counts as waiting; one of another machine counts
/// as running, since one look cannot tell.
CellStatus cell_status(const SweepCell& cell);

/// A sweep as it stands, for people: counts, then a line a cell, then failures with their line and log.
std::string status_text(const SweepFile& sweep);
/// {"name", "folder", "counts": {state: n}, "cells": [{"key", "folder", "values", "state", …}]}.
Json status_json(const SweepFile& sweep);

/// The cells of a sweep, largest first, with what they are estimated to take.
std::string plan_text(const SweepFile& sweep);
Json plan_json(const SweepFile& sweep);

}  // namespace templora
