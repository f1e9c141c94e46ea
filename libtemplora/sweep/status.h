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

/// "lora.rank=4 seed=1": a cell's values as --set takes them.
std::string values_text(const Json& values);

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

/// What cells would take by something that was measured, or is known, now.
struct CellSpeed {
  std::vector<double> seconds;  ///< of each of the sweep's cells
  std::string text;             ///< behind the sum: "at the speed of …"
  bool measured = false;        ///< else a floor
};

/// Whether cells that are done tell how fast the others will be.
bool speed_is_known(const SweepFile& sweep);

/// The cells of a sweep, largest first, with what they are estimated to take: at `speed`, else at the speed of those
/// that are done, else at least, by the peak of cost.device.
std::string plan_text(const SweepFile& sweep, const std::optional<CellSpeed>& speed = {});
Json plan_json(const SweepFile& sweep, const std::optional<CellSpeed>& speed = {});

}  // namespace templora
