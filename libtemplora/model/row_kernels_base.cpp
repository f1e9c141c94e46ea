#define TEMPLORA_LANES 4
#include "model/row_kernels_body.h"

namespace templora::cpu {
const RowKernels kRowKernelsBase = {"base", dots_f32, dots_bf16, kPairs, softmax, mix_f32, mix_bf16};
}  // namespace templora::cpu
