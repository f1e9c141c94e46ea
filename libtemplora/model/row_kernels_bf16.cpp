#if defined(__x86_64__)
#define TEMPLORA_BF16_PAIRS
#define TEMPLORA_LANES 16
#include "model/row_kernels_body.h"

namespace templora::cpu {
const RowKernels kRowKernelsBf16 = {"bf16", dots_f32, dots_bf16, kPairs, softmax, mix_f32, mix_bf16};
}  // namespace templora::cpu
#endif
