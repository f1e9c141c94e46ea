#include "generate/prompt_cache.h"

#include <ATen/core/grad_mode.h>

#include "catch.h"
#include "models.h"

using namespace templora;
using small::part;
using small::Tokens;

TEST_CASE("PromptCache: what prompts share is computed once and changes nothing", "[unit]") {
  const at::NoGradGuard no_grad;
  Llama model = small::model(at::kDouble);
  // Each the one before and a line more, with an end of its own, as a chat's prompts are.
  const auto prompt = [](std::size_t lines) {
    Tokens text = part(small::text(60), 0, 10 + 4 * lines);
    text.insert(text.end(), 3 + lines % 2, std::int64_t(50 + lines));
    return text;
  };
  PromptCache read(*model, {.sequences = 3, .capacity = 8, .block_tokens = 16});
  const auto check = [&](const std::vector<Tokens>& prompts, const std::vector<std::int64_t>& computed) {
    CHECK(read.read(*model, prompts, 4) == computed);
    for (std::size_t i = 0; i < prompts.size(); ++i) {
      const std::int64_t s = std::int64_t(i), held = std::int64_t(prompts[i].size()) - 1;
      CHECK(read.cache().length(s) == held);
      const at::Tensor next = read.cache().append(*model, {{s, {prompts[i].back(), 7}}}, Rows::all, 4);
      Tokens all = prompts[i];
      all.push_back(7);
      CHECK(small::difference(next, small::plain_forward(*model, all).slice(0, held)) <= 1e-10);
    }
  };
  check({prompt(1), prompt(2), prompt(3)}, {3, 2, 25});
  check({prompt(4), prompt(5)}, {2, 11});  // takes 22 from the batch before
  check({prompt(6)}, {6});
  check({prompt(6)}, {0});
  check({prompt(0), {1}, prompt(1)}, {2, 0, 3});
  check({{1}}, {0});
  check({prompt(2), prompt(2), prompt(2)}, {0, 0, 20});
  CHECK(read.read(*model, {prompt(2)}, 5) == std::vector<std::int64_t>{20});  // by other weights
  read.forget();
  CHECK(read.read(*model, {prompt(2)}, 5) == std::vector<std::int64_t>{20});
  check({{1}}, {0});
  check({prompt(5), prompt(6)}, {3, 36});
  CHECK_FALSE(read.read(*model, {prompt(5), prompt(7)}, 4, [] { return true; }));
  check({prompt(5), prompt(7)}, {3, 41});  // all was forgotten
  CHECK(common_prefix({1, 2, 3}, {1, 2, 4, 5}) == 2);
  CHECK(common_prefix({1, 2}, {1, 2, 4}) == 2);
  CHECK(common_prefix({}, {1}) == 0);
}
