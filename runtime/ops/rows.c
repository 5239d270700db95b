/* The engine for ops that work on whole rows (softmax, layer norm, cross-entropy): it finds each row of each operand in
 * strided memory, hands it over as a contiguous run of the compute type, and stores what comes back. A row that already
 * lies so is handed over in place; others go through a buffer of their block's. At most 64 blocks, by sizes alone. */
#include "loops.h"

enum { OPERANDS = 6, MOST_BLOCKS = 64 };

typedef struct row_run {
  neap_context *c;
  const np_rows *r;
  np_row_task row;
  void *arg;
  int n_operands, n_dims;        /* of the grid of rows */
  int64_t n, rows, per_block, stride[OPERANDS];
  int64_t shape[NEAP_MAX_DIMS], step[OPERANDS][NEAP_MAX_DIMS];
  uint8_t direct[OPERANDS];
  char *scratch;
  int64_t tile, block_bytes;     /* bytes of one buffer, of a block's buffers */
} row_run;

static int64_t row_length(const np_rows *r) {
  int64_t n = 1;
  for (int i = r->axis; i < r->axis + r->n_axes; i++) n *= r->t[0]->at.shape[i];
  return n;
}

static int64_t rows_per_block(int64_t n, int64_t rows) {
  return np_max(np_max(1, NP_GRAIN / np_max(n, 1)), np_blocks(rows, MOST_BLOCKS));
}

int64_t np_rows_blocks(const np_rows *r) {
  int64_t n = row_length(r), rows = n ? r->t[0]->at.count / n : 0;
  return np_blocks(rows, rows_per_block(n, rows));
}

static void set_up(row_run *s) {
  const np_rows *r = s->r;
  const np_layout *first = &r->t[0]->at;
  int native = r->ctype == NP_CF32 ? NEAP_F32 : NEAP_F64, end = r->axis + r->n_axes;
  s->n_operands = r->n_in + r->n_out;
  s->n = row_length(r);
  s->rows = s->n ? first->count / s->n : 0;
  s->per_block = rows_per_block(s->n, s->rows);
  for (int d = 0; d < first->ndim; d++) {
    if ((d >= r->axis && d < end) || first->shape[d] == 1) continue;
    s->shape[s->n_dims] = first->shape[d];
    for (int o = 0; o < s->n_operands; o++) s->step[o][s->n_dims] = r->t[o]->at.stride[d];
    s->n_dims++;
  }
  s->tile = (s->n * np_size_of(native) + 63) / 64 * 64;
  for (int o = 0; o < s->n_operands; o++) {
    s->stride[o] = r->n_axes == 1 && s->n > 1 ? r->t[o]->at.stride[r->axis] : 1;
    s->direct[o] = r->t[o]->at.dtype == native && s->stride[o] == 1;
    if (!s->direct[o]) s->block_bytes += s->tile;
  }
}

static void row_block(void *arg, int64_t block) {
  const row_run *s = arg;
  const np_rows *r = s->r;
  const np_kernels *k = s->c->kernels;
  if (np_cancelled(s->c)) return;
  char *tiles[OPERANDS], *memory[OPERANDS];
  int64_t last = np_min((block + 1) * s->per_block, s->rows);
  for (int64_t row = block * s->per_block; row < last; row++) {
    int64_t at[OPERANDS] = { 0 }, rest = row;
    for (int d = s->n_dims - 1; d >= 0; d--) {
      int64_t i = rest % s->shape[d];
      rest /= s->shape[d];
      for (int o = 0; o < s->n_operands; o++) at[o] += i * s->step[o][d];
    }
    char *buffer = s->scratch + block * s->block_bytes;
    for (int o = 0; o < s->n_operands; o++) {
      int dtype = r->t[o]->at.dtype;
      memory[o] = tiles[o] = np_data(r->t[o]) + at[o] * np_size_of(dtype);
      if (s->direct[o]) continue;
      tiles[o] = buffer;
      buffer += s->tile;
      if (o < r->n_in) k->load[dtype][r->ctype](s->n, memory[o], s->stride[o], tiles[o]);
    }
    s->row(s->arg, row, block, tiles);
    for (int o = r->n_in; o < s->n_operands; o++)
      if (!s->direct[o]) k->store[r->ctype][r->t[o]->at.dtype](s->n, tiles[o], memory[o], s->stride[o]);
  }
}

int np_rows_run(neap_context *c, const np_rows *r, np_row_task row, void *arg) {
  row_run s = { .c = c, .r = r, .row = row, .arg = arg };
  set_up(&s);
  if (s.rows == 0) return NEAP_OK;
  int64_t blocks = np_blocks(s.rows, s.per_block);
  size_t bytes = (size_t)(blocks * s.block_bytes);
  if (bytes && !(s.scratch = np_alloc(c, bytes))) return NEAP_ERR_MEMORY;
  np_parallel(c, blocks, (double)s.rows * ((double)s.n * r->ns + 10), row_block, &s);
  if (bytes) np_free(c, s.scratch, bytes);
  return NEAP_OK;
}
