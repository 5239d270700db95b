/* table_isa.c: the table of one instruction set, out of the tables that the other *_isa.c files export. */
#include "conv.h"
#include "isa.h"
#include "kernels.h"
#include "norm.h"
#include "attend.h"
#include "update.h"
#include "recurrent.h"
#include "grid.h"
#include "pool.h"
#include "sheet.h"

extern const np_load NP_NAME(np_load_table)[NEAP_DTYPES][NP_CTYPES];
extern const np_store NP_NAME(np_store_table)[NP_CTYPES][NEAP_DTYPES];
void NP_NAME(np_copy2d)(int size, int64_t rows, int64_t cols, const void *src, int64_t src_row, int64_t src_col,
                        void *dst, int64_t dst_row, int64_t dst_col);
void NP_NAME(np_fill)(int size, int64_t n, const void *value, void *dst, int64_t stride);
extern const np_map NP_NAME(np_map_f32)[NP_EW_COUNT], NP_NAME(np_map_f64)[NP_EW_COUNT];
extern const np_map NP_NAME(np_map_i64)[NP_EW_COUNT];
extern const np_map NP_NAME(np_grad_f32)[NP_EW_COUNT][3], NP_NAME(np_grad_f64)[NP_EW_COUNT][3];
extern const np_reduce NP_NAME(np_reduce_f32), NP_NAME(np_reduce_f64), NP_NAME(np_reduce_i64);
extern const np_scan NP_NAME(np_scan_f32), NP_NAME(np_scan_f64), NP_NAME(np_scan_i64);
extern const np_sort NP_NAME(np_sort_table);
extern const np_count NP_NAME(np_count_table);
extern const np_row NP_NAME(np_row_f32), NP_NAME(np_row_f64);
extern const np_norm NP_NAME(np_norm_f32), NP_NAME(np_norm_f64);
extern const np_index NP_NAME(np_index_table);
#define GEMM(S)                                                                                                     \
  void NP_NAME(np_gemm_##S)(int ta, int tb, int64_t m, int64_t n, int64_t k, double alpha, const void *a,           \
                            int64_t lda, const void *b, int64_t ldb, double beta, void *c, int64_t ldc,             \
                            void *scratch);                                                                         \
  size_t NP_NAME(np_gemm_scratch_##S)(int64_t m, int64_t n, int64_t k);
GEMM(f32) GEMM(f64) GEMM(i64)
extern const np_random NP_NAME(np_random_table);
extern const np_fourier NP_NAME(np_fourier_f32), NP_NAME(np_fourier_f64);
extern const np_attend NP_NAME(np_attend_f32), NP_NAME(np_attend_f64);
extern const np_optim NP_NAME(np_optim_f32), NP_NAME(np_optim_f64);
extern const np_recurrent NP_NAME(np_recurrent_f32), NP_NAME(np_recurrent_f64);
extern const np_conv NP_NAME(np_conv_f32), NP_NAME(np_conv_f64);
extern const np_grid_loops NP_NAME(np_grid_f32), NP_NAME(np_grid_f64);
extern const np_sheet_loops NP_NAME(np_sheet_f32), NP_NAME(np_sheet_f64);
extern const np_pool_loops NP_NAME(np_pool_f32), NP_NAME(np_pool_f64);

#define STRING_(x) #x
#define STRING(x) STRING_(x)
extern const np_kernels NP_NAME(np_kernels);
const np_kernels NP_NAME(np_kernels) = {
    .name = STRING(NP_ISA),
    .load = NP_NAME(np_load_table),
    .store = NP_NAME(np_store_table),
    .copy2d = NP_NAME(np_copy2d),
    .fill = NP_NAME(np_fill),
    .map = {NP_NAME(np_map_f32), NP_NAME(np_map_f64), NP_NAME(np_map_i64)},
    .grad = {NP_NAME(np_grad_f32), NP_NAME(np_grad_f64)},
    .reduce = {&NP_NAME(np_reduce_f32), &NP_NAME(np_reduce_f64), &NP_NAME(np_reduce_i64)},
    .scan = {&NP_NAME(np_scan_f32), &NP_NAME(np_scan_f64), &NP_NAME(np_scan_i64)},
    .sort = &NP_NAME(np_sort_table),
    .count = &NP_NAME(np_count_table),
    .sheet = {&NP_NAME(np_sheet_f32), &NP_NAME(np_sheet_f64)},
    .row = {&NP_NAME(np_row_f32), &NP_NAME(np_row_f64)},
    .norm = {&NP_NAME(np_norm_f32), &NP_NAME(np_norm_f64)},
    .index = &NP_NAME(np_index_table),
    .gemm = {NP_NAME(np_gemm_f32), NP_NAME(np_gemm_f64), NP_NAME(np_gemm_i64)},
    .gemm_scratch = {NP_NAME(np_gemm_scratch_f32), NP_NAME(np_gemm_scratch_f64), NP_NAME(np_gemm_scratch_i64)},
    .random = &NP_NAME(np_random_table),
    .fourier = {&NP_NAME(np_fourier_f32), &NP_NAME(np_fourier_f64)},
    .attend = {&NP_NAME(np_attend_f32), &NP_NAME(np_attend_f64)},
    .optim = {&NP_NAME(np_optim_f32), &NP_NAME(np_optim_f64)},
    .recurrent = {&NP_NAME(np_recurrent_f32), &NP_NAME(np_recurrent_f64)},
    .conv = {&NP_NAME(np_conv_f32), &NP_NAME(np_conv_f64)},
    .grid = {&NP_NAME(np_grid_f32), &NP_NAME(np_grid_f64)},
    .pool = {&NP_NAME(np_pool_f32), &NP_NAME(np_pool_f64)},
};
