# layers.cmake: one OBJECT library a layer, and the two libraries made of them.
#
# A layer's files are compiled with the folders of its own and earlier layers on the quote path (-iquote), so an upward
# #include "x.h" finds nothing. Quote path, not include path: src/sched/sched.h must not be found by <sched.h>.
#
#   mray_<layer>       the objects of one layer
#   mray_upto_<layer>  objects, internal headers and libraries of a layer and all earlier ones, for unit tests
#   mray, mray_static  the libraries
set(MRAY_LAYERS base topo net gcs store sched exec obs api)

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
pkg_check_modules(HWLOC REQUIRED IMPORTED_TARGET hwloc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

set(layer_libs_base PkgConfig::XXHASH Threads::Threads m ${CMAKE_DL_LIBS})
set(layer_libs_topo PkgConfig::HWLOC)
set(layer_libs_net MPI::MPI_C)

set(iquotes "")
set(mray_objects "")
set(mray_libs "")
foreach(layer IN LISTS MRAY_LAYERS)
  list(APPEND iquotes "SHELL:-iquote ${PROJECT_SOURCE_DIR}/src/${layer}")
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${layer}/*.c)
  if(NOT sources)
    # CMake takes no library without a source.
    set(sources ${PROJECT_BINARY_DIR}/empty/${layer}.c)
    file(WRITE ${sources} "typedef int mray_empty_layer_t;\n")
  endif()

  add_library(mray_${layer} OBJECT ${sources})
  target_compile_options(mray_${layer} PRIVATE ${iquotes})
  target_include_directories(mray_${layer} PRIVATE ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(mray_${layer} PRIVATE Threads::Threads ${layer_libs_${layer}})
  set_target_properties(mray_${layer} PROPERTIES POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden)
  if(layer STREQUAL net)
    target_compile_definitions(mray_net PRIVATE OMPI_SKIP_MPICXX)
  endif()

  list(APPEND mray_objects $<TARGET_OBJECTS:mray_${layer}>)
  list(APPEND mray_libs ${layer_libs_${layer}})
  add_library(mray_upto_${layer} INTERFACE)
  target_sources(mray_upto_${layer} INTERFACE ${mray_objects})
  target_include_directories(mray_upto_${layer} INTERFACE ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(mray_upto_${layer} INTERFACE ${mray_libs})
endforeach()
set(mray_iquotes ${iquotes})

add_library(mray SHARED ${mray_objects})
add_library(mray::mray ALIAS mray)
target_link_libraries(mray PRIVATE ${mray_libs})
set_target_properties(mray PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINKER_LANGUAGE C)
if(NOT MRAY_SANITIZE)
  target_link_options(mray PRIVATE LINKER:--no-undefined)
endif()

# The archive holds one object: the layers linked together (ld -r), then every hidden symbol made local, so that a static
# program sees mray_* and nothing else. Constructors survive, since nothing can be left out of one object.
set(combined ${PROJECT_BINARY_DIR}/mray_combined.o)
add_custom_command(OUTPUT ${combined}
  COMMAND ${CMAKE_LINKER} -r -o ${combined} ${mray_objects}
  COMMAND ${CMAKE_OBJCOPY} --localize-hidden ${combined}
  DEPENDS ${mray_objects}
  COMMAND_EXPAND_LISTS VERBATIM
  COMMENT "Linking the layers into one object")
set_source_files_properties(${combined} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_library(mray_static STATIC ${combined})
add_library(mray::mray_static ALIAS mray_static)
target_link_libraries(mray_static INTERFACE ${mray_libs})
set_target_properties(mray_static PROPERTIES OUTPUT_NAME mray LINKER_LANGUAGE C)

foreach(lib mray mray_static)
  target_include_directories(${lib} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endforeach()
