# tests.cmake: how tests are made. tests/CMakeLists.txt finds them; examples add their own.
#
# Labels: unit, mpi, example, lint, install, cluster; and sanitize for the MPI runs that ./check repeats under the sanitizers.
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
set(mray_run_mpi ${PROJECT_SOURCE_DIR}/tests/run_mpi.sh)
set(mray_mpi_timeout 120)
if(MRAY_SANITIZE)
  set(mray_mpi_timeout 300)
endif()

# mray_add_unit_test(<layer> <source> [helper sources]): the cmocka program tests/<layer>/test_<module>.c as ctest <layer>.<module>,
# linked with the objects of its layer and the earlier ones: a layer that needs a later one does not link.
function(mray_add_unit_test layer source)
  get_filename_component(exe ${source} NAME_WE)
  string(REGEX REPLACE "^test_" "" module ${exe})
  set(target test_${layer}_${module})
  add_executable(${target} ${source} ${ARGN})
  target_compile_options(${target} PRIVATE -UNDEBUG ${mray_iquotes} "SHELL:-iquote ${PROJECT_SOURCE_DIR}/tests/support")
  target_link_libraries(${target} PRIVATE mray_upto_${layer} PkgConfig::CMOCKA)
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${exe} RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/${layer})
  add_test(NAME ${layer}.${module} COMMAND ${mray_test_launcher} $<TARGET_FILE:${target}>)
  set_tests_properties(${layer}.${module} PROPERTIES TIMEOUT 60 LABELS unit ENVIRONMENT "${mray_test_env}")
endfunction()

# mray_add_ranks_test(NAME <name> COMMAND <program> [arg...] [RANKS <n|local|nxk>...] [MODES process|thread...] [LABELS <label>...]
#                     [SANITIZE <n|local>...] [TIMEOUT <seconds>] [ENV <name=value>...])
# One ctest <name>.<ranks>.<mode> for each of RANKS and MODES (both modes by default), run by tests/run_mpi.sh. A program may be a target.
# nxk: n ranks on this machine that take themselves for nodes of k ranks each, so what crosses nodes runs without hosts.
# The runs on one of SANITIZE ranks (default 2) carry the label sanitize as well.
function(mray_add_ranks_test)
  cmake_parse_arguments(T "" "NAME;TIMEOUT" "COMMAND;RANKS;MODES;LABELS;SANITIZE;ENV" ${ARGN})
  if(T_UNPARSED_ARGUMENTS OR NOT T_NAME OR NOT T_COMMAND)
    message(FATAL_ERROR "mray_add_ranks_test: NAME and COMMAND are needed; not understood: ${T_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT T_RANKS)
    set(T_RANKS 1 2 4)
  endif()
  if(NOT T_MODES)
    set(T_MODES process thread)
  endif()
  if(NOT DEFINED T_SANITIZE)
    set(T_SANITIZE 2)
  endif()
  if(NOT T_TIMEOUT OR T_TIMEOUT LESS mray_mpi_timeout)
    set(T_TIMEOUT ${mray_mpi_timeout})
  endif()
  math(EXPR outer_timeout "${T_TIMEOUT} + 30")
  list(GET T_COMMAND 0 program)
  if(TARGET ${program})
    list(POP_FRONT T_COMMAND)
    list(PREPEND T_COMMAND $<TARGET_FILE:${program}>)
  endif()

  foreach(ranks IN LISTS T_RANKS)
    set(processors 1)
    set(nodes_env "")
    set(n_ranks ${ranks})
    if(ranks MATCHES "^([0-9]+)x([0-9]+)$")
      set(n_ranks ${CMAKE_MATCH_1})
      set(nodes_env "MRAY_FAKE_NODE_RANKS=${CMAKE_MATCH_2}")
    endif()
    if(n_ranks GREATER 1)
      set(processors ${n_ranks})
    endif()
    set(labels ${T_LABELS})
    if(ranks IN_LIST T_SANITIZE)
      list(APPEND labels sanitize)
    endif()
    foreach(mode IN LISTS T_MODES)
      set(test ${T_NAME}.${ranks}.${mode})
      add_test(NAME ${test} COMMAND ${mray_test_launcher} ${mray_run_mpi} ${n_ranks} ${T_COMMAND})
      set_tests_properties(${test} PROPERTIES TIMEOUT ${outer_timeout} PROCESSORS ${processors} LABELS "${labels}"
        ENVIRONMENT "MRAY_WORKERS=${mode};MRAY_TEST_TIMEOUT=${T_TIMEOUT};${nodes_env};${mray_test_env};${T_ENV}")
    endforeach()
  endforeach()
endfunction()

# The words of the line "/* <key>: a b c */" near the top of a source, or an empty list.
function(mray_read_line source key words_var)
  file(STRINGS ${source} line REGEX "^/\\* ${key}: .*\\*/" LIMIT_COUNT 1)
  string(REGEX REPLACE "^/\\* ${key}: *([^*]*[^* ]) *\\*/.*" "\\1" words "${line}")
  string(REGEX REPLACE "[ ,]+" ";" words "${words}")
  set(${words_var} "${words}" PARENT_SCOPE)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${source})
endfunction()

# mray_add_mpi_test(<source> [helper sources]): tests/mpi/mpi_<name>.c against the shared library. Lines near its top say how it is run:
#   /* ranks: local 1 2 4x2 */   default 1 2 4; 4x2: four ranks, nodes of two
#   /* modes: process */         default process thread
#   /* sanitize: 1 2 */          runs repeated under the sanitizers, default 2; or none
#   /* timeout: 200 */           seconds a run
function(mray_add_mpi_test source)
  get_filename_component(exe ${source} NAME_WE)
  string(REGEX REPLACE "^mpi_" "" name ${exe})
  add_executable(${exe} ${source} ${ARGN})
  target_compile_options(${exe} PRIVATE -UNDEBUG "SHELL:-iquote ${PROJECT_SOURCE_DIR}/tests/support")
  target_compile_definitions(${exe} PRIVATE OMPI_SKIP_MPICXX)
  target_link_libraries(${exe} PRIVATE mray::mray PkgConfig::CMOCKA MPI::MPI_C Threads::Threads m)
  set_target_properties(${exe} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests/mpi)
  set(options "")
  foreach(key ranks modes sanitize timeout)
    mray_read_line(${source} ${key} words)
    if(words)
      string(TOUPPER ${key} upper)
      list(APPEND options ${upper} ${words})
    endif()
  endforeach()
  mray_add_ranks_test(NAME mpi.${name} COMMAND ${exe} LABELS mpi ${options})
endfunction()

# mray_add_example_test(<name> RANKS 1 2 4 COMMAND <target> [arg...] ...): as mray_add_ranks_test, named example.<name>. Does nothing
# where tests are not built.
function(mray_add_example_test name)
  if(MRAY_BUILD_TESTS)
    cmake_parse_arguments(E "" "" "SANITIZE" ${ARGN})
    mray_add_ranks_test(NAME example.${name} LABELS example SANITIZE none ${ARGN})
  endif()
endfunction()
