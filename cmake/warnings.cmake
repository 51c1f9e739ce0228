# warnings.cmake: the warnings every C file of the project is compiled with; errors with MRAY_WERROR.
option(MRAY_WERROR "Treat warnings as errors" OFF)

add_compile_options(-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wnested-externs)
if(MRAY_WERROR)
  add_compile_options(-Werror)
endif()
