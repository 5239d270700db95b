/* Tables of rows that are looked up: Embedding, and EmbeddingBag, which adds up, averages or takes the largest of the rows
 * that each bag names. */
#include <math.h>
#include "module.h"

/* weight (entries, size) from N(0, 1), the row of setting `padding` zeros. */
static int table(neap_module *m, int padding) {
  if (np_at_least(m, 0, 0) != 0 || np_at_least(m, 1, 0) != 0) return m->ctx->error;
  int64_t shape[] = {np_set_i(m, 0), np_set_i(m, 1)};
  neap_value *row = &m->arg[padding];
  if (row->kind != NEAP_NONE) {
    if (row->i < -shape[0] || row->i >= shape[0])
      return np_layer_fail(m, NEAP_ERR_INDEX, "padding_idx is %lld, but there are %lld embeddings",
                           (long long)row->i + (row->i < 0 ? 0 : m->ctx->site.base), (long long)shape[0]);
    if (row->i < 0) row->i += shape[0];
  }
  neap_tensor *t = np_add_part(m, "weight", 2, shape);
  if (!t || neap_init_normal(t, 0, 1, NULL) != 0) return m->ctx->error;
  int64_t size = np_size_of(t->at.dtype);
  for (int64_t i = 0; row->kind != NEAP_NONE && i < shape[1]; i++) np_put_number(t->at.dtype, np_data(t) + (row->i * shape[1] + i) * size, 0);
  return NEAP_OK;
}
static int64_t position(const neap_module *m, int i) { return np_set_given(m, i) ? np_set_i(m, i) : NEAP_ABSENT; }
static double number(const neap_module *m, int i) { return np_set_given(m, i) ? np_set_d(m, i) : NAN; }

int np_embedding_setup(neap_module *m, const neap_value *in) {
  (void)in;
  return table(m, 2);
}
neap_tensor *np_embedding_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_embedding(m->ctx, in[0].t, np_part_of(m, 0), position(m, 2), number(m, 3), np_set_d(m, 4), (int)np_set_i(m, 5));
}

int np_embedding_bag_setup(neap_module *m, const neap_value *in) {
  (void)in;
  return table(m, 7);
}
neap_tensor *np_embedding_bag_forward(neap_module *m, const neap_value *in, neap_tensor **more) {
  (void)more;
  return neap_embedding_bag(m->ctx, in[0].t, np_part_of(m, 0), in[1].kind == NEAP_NONE ? NULL : in[1].t, number(m, 2), np_set_d(m, 3), (int)np_set_i(m, 4),
                            (int)np_set_i(m, 5), in[2].kind == NEAP_NONE ? NULL : in[2].t, (int)np_set_i(m, 6), position(m, 7));
}
