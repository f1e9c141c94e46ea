#if defined(__x86_64__)
#define TEMPLORA_LANES 16
#include "model/row_kernels_body.h"

namespace templora::cpu {
const RowKernels kRowKernelsV4 = {"v4", dots_f32, dots_bf16, kPairs, softmax, mix_f32, mix_bf16};
}  // namespace templora::cpu
#endif
