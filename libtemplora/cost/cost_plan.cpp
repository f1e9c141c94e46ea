// What is computed for each chunk of a document: the run's plan (plan/document_plan.h) in passes.

#include <algorithm>

#include "config/lengths.h"
#include "cost/cost.h"
#include "plan/document_plan.h"
#include "plan/replay.h"
#include "plan/score_rules.h"

namespace templora {

std::vector<PricedChunk> priced_chunks(const Config& config, const CostInput& input, std::size_t document) {
  const DocumentPlan plan(config, input.document_tokens.at(document), input.first_token,
                          read_before(config, input.document_tokens, document));
  const std::vector<Chunk> spans = plan.chunks();
  const ScoreRules rules(config);
  CachePlan cache(config);
  if (input.first_token > 0) cache.assume_read(input.first_token);
  std::vector<PricedChunk> chunks;
  std::int64_t kept = std::min(input.first_token, config.neural_cache.entries);
  for (std::int64_t i = 0; i < plan.size(); ++i) {
    const PlannedChunk& planned = plan[i];
    PricedChunk chunk;
    chunk.tokens = planned.chunk.count;
    if (!reads_through_cache(config)) {
      chunk.window = planned.seen;
    } else {
      chunk.kept = true;
      chunk.recompute = cache.open(planned.chunk.first, planned.chunk.count);
      const std::int64_t visible = cache.visible();
      chunk.pass = cache.score(planned.chunk);
      chunk.window = {planned.chunk.first - visible, visible + planned.chunk.count,
                      planned.chunk.count - (visible == 0)};
      if (plan.measures_staleness(i)) chunk.fresh = fresh_steps(config, spans, std::size_t(i), visible);
    }
    if (const std::optional<std::int64_t> learnt = plan.learns_after(i)) {
      chunk.segment = plan[*learnt].segment;
      chunk.steps = input.steps_after ? input.steps_after(document, i) : rules.expected_steps(plan[*learnt].place);
      for (const ReplayPiece& piece : replay_pieces(config, plan, std::int64_t(document), *learnt, chunk.steps))
        chunk.replayed.push_back(
            training_segment(config.train, {plan[piece.chunk].chunk.first + piece.offset, piece.tokens}));
      chunk.shared_forward = input.execution.shares_forward && chunk.steps > 0 && plan.shares_forward(i);
    }
    chunk.states_kept = kept;
    kept = std::min(kept + chunk.window.labelled, config.neural_cache.entries);
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

}  // namespace templora
