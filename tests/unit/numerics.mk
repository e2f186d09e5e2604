# SPDX-License-Identifier: MIT
# The numerics and their tests outside of Meson's build, for the runs that need them built
# in another way: mutants (where headers followed by -MMD keep a rebuild short) and
# sanitizers.  Run in the top directory.
#	OUT	directory of the objects and programs
#	EXTRA	further flags of compiler and linker
CFLAGS := -std=gnu11 -O1 -w -ffp-contract=off -pthread -DQUIRE_HAVE_X86_KERNELS \
	-Inumerics/include -Inumerics -Iuapi -Itests/oracle -MMD $(EXTRA)
AVX2 := -mavx2 -mfma -mbmi2 -mlzcnt
# what numerics/meson.build gives the same file
AVX512 := $(shell sed -n "/kernel_avx512.c/,/include_directories/p" numerics/meson.build | grep -o -- "-m[a-z0-9=-]*")
TESTS := posit number text accumulator vectors convert mxfp8_convert digest gemm \
	gemm_direct gemm_residues gemm_whole gemm_outliers gemm_doubt gemm_workspace gemm_fp32 gemm_unsteady gemm_blocks tile_gemm

SOURCES := $(wildcard numerics/*.c)
OBJECTS := $(SOURCES:numerics/%.c=$(OUT)/%.o)

all: $(TESTS:%=$(OUT)/test_%)

$(OUT)/kernel_avx2.o: CFLAGS += $(AVX2)
$(OUT)/kernel_avx512.o: CFLAGS += $(AVX512)

$(OUT)/%.o: numerics/%.c
	@gcc $(CFLAGS) -c $< -o $@
$(OUT)/%.o: tests/unit/%.c
	@gcc $(CFLAGS) -c $< -o $@
$(OUT)/%.o: tests/oracle/%.c
	@gcc $(CFLAGS) -c $< -o $@

$(OUT)/test_%: $(OUT)/test_%.o $(OUT)/oracle.o $(OBJECTS)
	@gcc -pthread $(EXTRA) $^ -o $@ -lcmocka -lgmp -lm

$(filter $(OUT)/test_gemm%,$(TESTS:%=$(OUT)/test_%)): $(OUT)/gemm_oracle.o $(OUT)/gemm_jobs.o \
	$(OUT)/gemm_judge.o

.SECONDARY:
-include $(wildcard $(OUT)/*.d)
