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

/// `interrupted`: begun, nobody works on it, and it goes on with the next sweep command.
enum class CellState { waiting, running, interrupted, failed, done };
const char* cell_state_name(CellState state);

struct CellStatus {
  CellState state = CellState::waiting;
  std::optional<RunFailure> failure;
  std::optional<ClaimOwner> owner;  ///< of a running cell
};

/// One look at a cell. A claim of this machine whose process is gone counts as none; one of another machine counts
/// as running, since one look cannot tell.
CellStatus cell_status(const SweepCell& cell);

/// Seconds until the cells are done that are not, `workers` at a time, at the speed of those that are; none where there
/// is no such speed yet.
std::optional<double> seconds_left(const SweepFile& sweep, std::int64_t workers);

/// A sweep as it stands, for people: counts, then a line a cell with progress, time left and newest perplexities, then
/// failures with their line and log.
std::string status_text(const SweepFile& sweep);
/// {"name", "folder", "counts": {state: n}, "seconds_left", "cells": [{"key", "folder", "values", "state", "progress",
/// …}]}; "progress" is to_json(RunProgress) of a cell that was begun.
Json status_json(const SweepFile& sweep);

/// The cells of a sweep, largest first, with what they are estimated to take.
std::string plan_text(const SweepFile& sweep);
Json plan_json(const SweepFile& sweep);

}  // namespace templora
