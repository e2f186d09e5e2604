// SPDX-License-Identifier: MIT
/* Working memory that a caller keeps between products, and the packed B in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gemm_jobs.h"

/*
 * Bands of rows with one B in a workspace: the digest is that of the whole; B that changed is
 * seen when its version is another, or when anything else about it is.
 */
static void packed_b_kept_between_jobs(void **state)
{
	enum { M = 40, N = 53, K = 70 };
	static const uint32_t columns[] = { N, N, 20, N };
	struct quire_gemm_workspace *workspace = quire_gemm_workspace_create();
	uint32_t a[M * K], b[N * N + K * N], changed[K * N], d[M * N], good[M * N];

	(void)state;
	assert_non_null(workspace);
	for (size_t x = 0; x < KERNELS; x++) {
		if (quire_kernel_select(kernels[x]))
			continue;
		for (int how = 0; how < 3; how++)
			for (int version = 0; version < 3; version++) {
				fill(QUIRE_FORMAT_FP32, a, M * K, NEAR_ONE);
				fill(QUIRE_FORMAT_FP32, b, N * N + K * N, (enum fill)how);
				memcpy(changed, b, sizeof(changed));
				for (int turn = 0; turn < 12; turn++) {
					uint32_t n = columns[turn % 4], band = turn * 7 % M;
					struct quire_gemm g = { .m = M - band, .n = n, .k = K, .batch = 1,
								.alpha = 1 };

					if (turn == 6)
						fill(QUIRE_FORMAT_FP32, a, M * K, FEW);
					g.a = (struct quire_gemm_operand){ a + band * K, QUIRE_FORMAT_FP32, 0, K, 0 };
					g.b = (struct quire_gemm_operand){ turn == 9 ? changed : b,
						QUIRE_FORMAT_FP32, turn == 8, turn == 8 ? K : N, 0 };
					g.d = (struct quire_gemm_output){ good, QUIRE_FORMAT_FP32, 0, N, 0 };
					assert_int_equal(quire_gemm(&g, NULL), 0);
					g.d.data = d;
					g.workspace = workspace;
					g.b_version = version ? 100 * x + 10 * how + version : 0;
					assert_int_equal(quire_gemm(&g, NULL), 0);
					for (uint32_t i = 0; i < g.m; i++)
						assert_memory_equal(d + i * N, good + i * N, n * 4);
				}
			}
	}
	quire_kernel_select(NULL);
	quire_gemm_workspace_destroy(workspace);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packed_b_kept_between_jobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
