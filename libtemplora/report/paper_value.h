#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "report/report_table.h"

namespace templora {

/// The versions of the paper that a config's notes speak of: "v1, v3".
std::string paper_versions(const Json& run_record);

/// What the paper says in `notes` of a run's config at a path, such as {"paper_value", "0-100K", "base"}: a number or
/// null, or an object of them by version. Without a path that leads to one there is nothing.
std::vector<PaperValue> paper_value(const Json& run_record, const std::vector<std::string>& path);

/// The paper's change of PPL in percent in a segment of PG-19: the model's own where the notes have it, else the one
/// over all models, by version.
std::vector<PaperValue> paper_change(const Json& run_record, const std::string& segment);

}  // namespace templora
