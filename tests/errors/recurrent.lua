-- What is refused, and in which words: recurrent layers. Code, then the text.

return {
  -- steps
  {"neap.rnn_steps(x, x, m)", "rnn_steps: p (2, 3) is not (steps, batch, 1 units)"},
  {"neap.lstm_steps(neap.ones(2, 1, 3), neap.ones(1, 1), neap.ones(1, 1), neap.ones(4, 1))",
    "lstm_steps: p (2, 1, 3) is not (steps, batch, 4 units)"},
  {"neap.rnn_steps(i(1):view(1, 1, 1), m, m)", "rnn_steps: p must be of a floating dtype, got int64: convert it with to('float32')"},
  {"neap.rnn_steps(neap.ones(2, 1, 2), neap.ones(1, 2), neap.ones(2, 2):to('float64'))",
    "rnn_steps: w_hh is float64, p is float32: all are of one dtype"},
  {"neap.rnn_steps(neap.ones(2, 1, 2), neap.ones(1, 2), neap.ones(2, 3))",
    "rnn_steps: w_hh (2, 3) does not fit p (2, 1, 2): it is (gates units, units)"},
  {"neap.rnn_steps(neap.ones(2, 1, 2), neap.ones(2, 2), m)", "rnn_steps: h0 (2, 2) does not fit p (2, 1, 2): it is (batch, units)"},
  {"neap.rnn_steps(neap.ones(2, 1, 2), neap.ones(1, 2), m, neap.ones(2))",
    "rnn_steps: mask (2) does not fit p (2, 1, 2): it is (batch, units)"},
  {"neap.lstm_steps(neap.ones(2, 1, 8), neap.ones(1, 2), neap.ones(1, 3), neap.ones(8, 2))",
    "lstm_steps: c0 (1, 3) does not fit p (2, 1, 8): it is (batch, units)"},
  {"neap.lstm_steps(neap.ones(2, 1, 8), neap.ones(1, 2), neap.ones(1, 2), neap.ones(8, 2), neap.ones(2, 1))",
    "lstm_steps: w_hr (2, 1) does not fit p (2, 1, 8): it is (put out, units)"},
  {"neap.gru_steps(neap.ones(2, 1, 6), neap.ones(1, 2), neap.ones(6, 2), neap.ones(5))",
    "gru_steps: b_hh (5) does not fit p (2, 1, 6): it is (gates units)"},
  {"neap.rnn_steps(neap.ones(2, 1, 2), neap.ones(1, 2), m, nil, neap.ones(1))", "rnn_steps: lengths are integers, not float32"},
  {"neap.rnn_steps(neap.ones(2, 1, 2), neap.ones(1, 2), m, nil, i(1, 2))",
    "rnn_steps: lengths (2) do not fit a batch of 1: one for each row"},
  {"neap.rnn_steps(neap.ones(2, 1, 2), neap.ones(1, 2), m, nil, i(3))",
    "rnn_steps: length 3 of row 1 is not among 1 .. 2, the steps there are"},
}
