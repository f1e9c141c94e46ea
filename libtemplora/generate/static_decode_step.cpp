#include "generate/static_decode_step.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <mutex>

#include "core/check.h"
#include "core/log.h"
#include "generate/sampling.h"

#ifdef TEMPLORA_CUDA_HEADERS
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/Event.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace templora {
namespace {

at::Tensor int_tensor(const std::vector<std::int64_t>& numbers, const at::Device& device) {
  return at::tensor(at::ArrayRef<std::int64_t>(numbers)).to(device);
}

}  // namespace

#ifdef TEMPLORA_CUDA_HEADERS

// Steps run on a stream of their own, as the default one cannot be captured.
class StaticDecodeStep::Graph {
 public:
  explicit Graph(const at::Device& device)
      : stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, device.index())) {}

  template <class Compute>
  void run(Compute&& compute) {
    const c10::cuda::CUDAStream outside = c10::cuda::getCurrentCUDAStream(stream_.device_index());
    wait_for(outside, stream_);  // what fills the inputs, and before the first step the keys
    const c10::cuda::CUDAStreamGuard guard(stream_);
    if (runs_ == 1) {
      // Another thread may train on this device meanwhile: its calls must not spoil the capture.
      graph_.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
      compute();
      graph_.capture_end();
    }
    if (runs_++ == 0)
      compute();  // libraries set themselves up outside of a capture
    else
      graph_.replay();
    wait_for(stream_, outside);
  }

 private:
  // On the device; the host goes on.
  static void wait_for(const c10::cuda::CUDAStream& first, const c10::cuda::CUDAStream& then) {
    c10::Event done(c10::DeviceType::CUDA);
    done.record(first.unwrap());
    done.block(then.unwrap());
  }

  c10::cuda::CUDAStream stream_;
  at::cuda::CUDAGraph graph_;
  std::int64_t runs_ = 0;
};

#else

class StaticDecodeStep::Graph {
 public:
  explicit Graph(const at::Device&) {
    static std::once_flag said;
    std::call_once(said, [] {
      log_line("decoding without CUDA graphs: this build has none of the CUDA runtime's headers; see docs/gpu.md");
    });
  }
  template <class Compute>
  void run(Compute&& compute) {
    compute();
  }
};

#endif

StaticDecodeStep::StaticDecodeStep(LlamaImpl& model, KvCache& cache, const DecodeOptions& options,
                                   const std::vector<Start>& starts)
    : model_(model),
      cache_(cache),
      turns_(model.turns(cache.capacity())),
      sampling_(options.sampling),
      stop_tokens_(options.stop_tokens) {
  const at::NoGradGuard no_grad;
  const at::Device device = model.options().device();
  const std::int64_t sequences = std::int64_t(starts.size()), vocab = model.config().vocab_size;
  std::vector<std::int64_t> tokens, slots;
  for (std::int64_t i = 0; i < sequences; ++i) {
    TEMPLORA_CHECK(cache.length(i) < cache.capacity(), "a step needs a free slot");
    tokens.push_back(starts[std::size_t(i)].token);
    slots.push_back(cache.length(i));
  }
  tokens_ = int_tensor(tokens, device);
  slots_ = int_tensor(slots, device);
  going_on_ = at::ones_like(slots_);
  if (sampling_.repetition_penalty != 1) {
    at::Tensor seen = at::zeros({sequences, vocab}, at::kBool);
    for (std::int64_t i = 0; i < sequences; ++i)
      seen.select(0, i).index_fill_(0, int_tensor(starts[std::size_t(i)].seen, at::kCPU), true);
    seen_ = seen.to(device);
  }
  if (!stop_tokens_.empty())
    stop_bias_ = suppress(at::zeros({1, vocab}), stop_tokens_).squeeze(0).to(device);
  if (sampling_.temperature != 0) {
    const at::TensorOptions numbers(at::kDouble);
    uniform_ = at::zeros({sequences}, numbers.device(device));
    host_uniform_ = at::zeros({sequences}, numbers.pinned_memory(device.is_cuda()));
  }
  if (device.is_cuda()) graph_ = std::make_unique<Graph>(device);
}

StaticDecodeStep::~StaticDecodeStep() = default;

void StaticDecodeStep::compute() {
  at::Tensor logits = next_logits(model_, cache_.step(model_, tokens_, slots_));  // [sequences, vocab]
  if (seen_.defined()) {
    const double penalty = sampling_.repetition_penalty;
    logits = at::where(seen_, at::where(logits < 0, logits * penalty, logits / penalty), logits);
  }
  if (stop_bias_.defined()) logits = logits + stop_bias_;
  const at::Tensor chosen =
      uniform_.defined() ? sample(warp(logits, sampling_), uniform_) : likeliest(logits);  // [sequences]
  // NaN gives a token beyond the vocabulary, which next() refuses; here it must not write out of bounds.
  if (seen_.defined()) seen_.scatter_(1, chosen.clamp_max(seen_.size(1) - 1).unsqueeze(1), true);
  tokens_.copy_(chosen);
  slots_.add_(going_on_);
}

const std::vector<std::int64_t>& StaticDecodeStep::next(bool may_stop, const std::vector<double>& uniform) {
  const at::NoGradGuard no_grad;
  if (may_stop && !may_stop_ && stop_bias_.defined()) stop_bias_.zero_();
  may_stop_ = may_stop_ || may_stop;
  if (uniform_.defined()) {
    TEMPLORA_CHECK(std::int64_t(uniform.size()) == uniform_.numel(), "one number a sequence");
    std::copy(uniform.begin(), uniform.end(), host_uniform_.mutable_data_ptr<double>());
    uniform_.copy_(host_uniform_, /*non_blocking=*/true);  // the last step's copy had ended when its tokens were read
  }
  if (graph_)
    graph_->run([this] { compute(); });
  else
    compute();
  const at::Tensor host = tokens_.cpu();  // the step's only wait: the stop test needs the tokens
  const auto* first = host.const_data_ptr<std::int64_t>();
  chosen_.assign(first, first + host.numel());
  check_chosen(chosen_, model_.config().vocab_size);
  return chosen_;
}

void StaticDecodeStep::end(std::int64_t sequence) {
  const at::NoGradGuard no_grad;
  going_on_.select(0, sequence).zero_();
}

}  // namespace templora
