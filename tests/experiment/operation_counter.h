#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/record_function.h>

#include <atomic>
#include <memory>
#include <string>

namespace templora_test {

/// Counts the FLOPs of products and attention that the process computes while it lives, as the dispatcher sees them:
/// every call of a product of LibTorch's, and the program's own kernels, which record themselves. One at a time.
class OperationCounter {
 public:
  struct Count {
    double gemm = 0, attention = 0;
  };

  OperationCounter() {
    gemm_ = attention_ = 0;
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback(&started, &ended).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  ~OperationCounter() { at::removeCallback(handle_); }
  OperationCounter(const OperationCounter&) = delete;
  OperationCounter& operator=(const OperationCounter&) = delete;

  Count count() const { return {gemm_, attention_}; }
  /// What was counted since the last take().
  Count take() {
    const Count taken = count();
    gemm_ = attention_ = 0;
    return taken;
  }

 private:
  struct InAttention : at::ObserverContext {};

  static double product(const at::Tensor& a, const at::Tensor& b) {  // [.., m, k] by [.., k, n]
    return 2.0 * double(a.numel()) * double(b.size(-1));
  }
  static double by_rows(const at::Tensor& x, const at::Tensor& weight) {
    return 2.0 * double(x.numel()) * double(weight.size(0));
  }

  /// Of a masked product what the mask lets through; a causal one without a mask hides its upper triangle.
  static double pairs(const at::Tensor& q, const at::Tensor& k, bool causal, const c10::IValue& mask) {
    if (mask.isTensor() && mask.toTensor().defined()) return double(mask.toTensor().eq(0).sum().item<std::int64_t>());
    const double rows = double(q.size(2)), slots = double(k.size(2));
    return causal ? rows * slots - rows * (rows - 1) / 2 : rows * slots;
  }
  static double width(const at::Tensor& q) { return double(q.size(0) * q.size(1) * q.size(3)); }

  static std::unique_ptr<at::ObserverContext> started(const at::RecordFunction& fn) {
    const std::string name = fn.name();
    const auto in = fn.inputs();
    if (inside_attention_ > 0 && name != "aten::scaled_dot_product_attention")
      return nullptr;  // made of smaller products
    if (name == "aten::mm" || name == "aten::bmm")
      add(gemm_, product(in[0].toTensor(), in[1].toTensor()));
    else if (name == "aten::addmm" || name == "aten::addmm_" || name == "aten::baddbmm")
      add(gemm_, product(in[1].toTensor(), in[2].toTensor()));
    else if (name == "templora::skinny_gemm" || name == "templora::skinny_gemm_add")
      add(gemm_, by_rows(in[0].toTensor(), in[1].toTensor()));
    else if (name == "templora::row_attention")
      add(attention_, 4.0 * double(in[0].toInt()) * double(in[1].toInt()));
    else if (name ==
             "aten::_scaled_dot_product_flash_attention_for_cpu_backward")  // five products where forward has two
      add(attention_,
          10.0 * pairs(in[1].toTensor(), in[2].toTensor(), in[7].toBool(), in[8]) * width(in[1].toTensor()));
    else if (name == "aten::scaled_dot_product_attention") {
      add(attention_, 4.0 * pairs(in[0].toTensor(), in[1].toTensor(), in[5].toBool(), in[3]) * width(in[0].toTensor()));
      ++inside_attention_;
      return std::make_unique<InAttention>();
    }
    return nullptr;
  }
  static void ended(const at::RecordFunction&, at::ObserverContext* context) {
    if (context != nullptr) --inside_attention_;
  }

  static void add(std::atomic<double>& sum, double value) { sum.fetch_add(value); }

  inline static std::atomic<double> gemm_{0}, attention_{0};
  inline static thread_local int inside_attention_ = 0;
  at::CallbackHandle handle_;
};

}  // namespace templora_test
